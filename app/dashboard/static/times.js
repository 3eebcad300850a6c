// Times are sent as they are, and told as people say them: "3 minutes ago", with the reader's own clock on hovering.
const STEPS = [["second", 60], ["minute", 60], ["hour", 24], ["day", 30.44], ["month", 12], ["year", Infinity]];
const RELATIVE = new Intl.RelativeTimeFormat("en", { numeric: "auto" });
const EXACT = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });

/** How long ago, or how soon, a time is. */
function relative(when, now = Date.now()) {
  let amount = (when - now) / 1000;
  if (Math.abs(amount) < 5) {
    return "now";
  }
  for (const [unit, size] of STEPS) {
    if (Math.abs(amount) < size) {
      return RELATIVE.format(Math.round(amount), unit);
    }
    amount /= size;
  }
  return "";
}

/** Writes all times of the page, or of a part of it, anew. */
export function tellTimes(root = document) {
  for (const element of root.querySelectorAll("time[datetime]")) {
    const when = new Date(element.dateTime);
    const told = relative(when.getTime());
    if (element.textContent !== told) {
      element.textContent = told;
    }
    element.title ||= EXACT.format(when);
  }
}
