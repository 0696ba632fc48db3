// Loaded into every process that is measured (node --import): tells its own processor time and memory when asked.
process.on("message", (message) => {
  if (message === "usage")
    process.send({ usage: { cpuMicros: process.cpuUsage(), rssBytes: process.memoryUsage().rss } });
});
process.channel?.unref();
