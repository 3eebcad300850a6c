// A click anywhere in a rig's row opens the rig, unless it is on a link of its own or ends a selection of text.
document.addEventListener("click", (event) => {
  const link = event.target.closest("table.rigs tbody tr")?.querySelector("a.whole");
  if (link && !event.target.closest("a, button") && !getSelection().toString()) {
    link.click();
  }
});
