// What a tab says that is not in front: its title and its icon tell how many things have failed.

const icon = document.querySelector("link[rel=icon]");
const calm = icon.getAttribute("href");

export function tell(failed, place) {
  const title = `${failed ? `(${failed} failed) ` : ""}${place ? `${place} · ` : ""}runner-agent`;
  if (document.title !== title) document.title = title;
  const wanted = failed ? icon.dataset.failed : calm;
  if (icon.getAttribute("href") !== wanted) icon.setAttribute("href", wanted);
}
