// Skeletons in space: after fusion solid, before it dashed, labels as dots alone, so that colour is not the only sign.

import * as THREE from "three";

const KINDS = {
  after: { colour: "accent", joint: 0.022, words: "solid: after fusion" },
  before: { colour: "warn", joint: 0.014, words: "dashed: before" },
  labels: { colour: "ink", joint: 0.018, words: "dots: labels" },
};

/** The kinds among `skeletons`, in words. */
export function kindsInWords(skeletons) {
  return Object.keys(KINDS).filter((kind) => skeletons.some((one) => one.kind === kind)).map((kind) => KINDS[kind].words);
}

/** Joints (null where unknown) and limbs of one person, `scale` metres to the unit. */
export function skeletonOf({ joints, limbs, kind }, scale, colours) {
  const style = KINDS[kind] ?? KINDS.after;
  const color = colours[style.colour];
  const points = joints.map((joint) => (joint ? new THREE.Vector3(...joint).multiplyScalar(scale) : null));
  const known = limbs.filter(([a, b]) => points[a] && points[b]).map(([a, b]) => [points[a], points[b]]);
  const group = new THREE.Group();
  group.add(dots(points.filter(Boolean), style.joint, color));
  if (kind === "before") group.add(dashes(known, color));
  else if (kind !== "labels") group.add(bones(known, color));
  return group;
}

function dots(points, radius, color) {
  const mesh = new THREE.InstancedMesh(
    new THREE.SphereGeometry(radius, 12, 8), new THREE.MeshBasicMaterial({ color }), points.length,
  );
  points.forEach((point, index) => mesh.setMatrixAt(index, new THREE.Matrix4().setPosition(point)));
  mesh.frustumCulled = false;
  return mesh;
}

function bones(limbs, color) {
  const mesh = new THREE.InstancedMesh(
    new THREE.CylinderGeometry(0.01, 0.01, 1, 8), new THREE.MeshBasicMaterial({ color }), limbs.length,
  );
  const along = new THREE.Vector3(0, 1, 0);
  limbs.forEach(([from, to], index) => {
    const way = to.clone().sub(from), length = way.length();
    const turn = new THREE.Quaternion().setFromUnitVectors(along, way.normalize());
    const middle = from.clone().add(to).multiplyScalar(0.5);
    mesh.setMatrixAt(index, new THREE.Matrix4().compose(middle, turn, new THREE.Vector3(1, length || 1e-6, 1)));
  });
  mesh.frustumCulled = false;
  return mesh;
}

function dashes(limbs, color) {
  const geometry = new THREE.BufferGeometry().setFromPoints(limbs.flat());
  const lines = new THREE.LineSegments(geometry, new THREE.LineDashedMaterial({ color, dashSize: 0.05, gapSize: 0.03 }));
  lines.computeLineDistances();
  return lines;
}
