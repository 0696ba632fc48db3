/** Time this process has worked, milliseconds: unlike the clock on the wall it says the same on a busy machine. */
export function cpuTimeMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1_000;
}
