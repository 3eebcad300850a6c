// Images of a folder as the zip that the service takes: stored, for they are compressed already.

/** Whether a file is an image of a frame, by its name. */
export const isImage = (path) => /\.(jpe?g|png)$/i.test(path) && !/(^|\/)[._]/.test(path);

/**
 * Frame and camera of each image, by its path: `frame/camera.jpg`, or `camera/frame.jpg` where the folder has the name
 * of a camera of the rig.
 */
export function framesOf(images, cameras) {
  return images.map(({ file, path }) => {
    const [folder, name] = path.split("/").slice(-2).length === 2 ? path.split("/").slice(-2) : ["", path];
    const stem = name.replace(/\.[^.]+$/, ""), end = name.split(".").pop().toLowerCase();
    const isByCamera = cameras.includes(folder) && !cameras.includes(stem);
    return isByCamera ? { file, frame: stem, camera: folder, end } : { file, frame: folder, camera: stem, end };
  });
}

/** The zip as a Blob, made image by image; `onProgress(share, words)`. */
export async function zipped(images, onProgress, signal) {
  await import("./vendor/fflate/index.js");
  const { Zip, ZipPassThrough } = globalThis.fflate;
  const parts = [];
  let failure = null;
  const zip = new Zip((error, chunk) => {
    if (error) failure = error;
    else parts.push(new Blob([chunk])); // a Blob may lie on the disk, an array lies in memory
  });
  for (const [index, { file, frame, camera, end }] of images.entries()) {
    signal.throwIfAborted();
    const entry = new ZipPassThrough(`${frame}/${camera}.${end}`);
    zip.add(entry);
    entry.push(new Uint8Array(await file.arrayBuffer()), true);
    if (failure) throw failure;
    onProgress((index + 1) / images.length, "Packing …");
  }
  zip.end();
  return new File(parts, "frames.zip", { type: "application/zip" });
}
