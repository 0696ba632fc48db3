// Runs before the first paint, so that a chosen theme does not flash. Nothing chosen: the system's.
{
  const chosen = localStorage.getItem("zeph.theme");
  if (chosen === "dark" || chosen === "light") document.documentElement.dataset.theme = chosen;
}
