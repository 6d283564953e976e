-- A report of its own, as comma-separated values.
function done(summary, latency, requests)
   local fields = {
      summary.duration, summary.requests, summary.bytes,
      summary.errors.connect, summary.errors.read, summary.errors.write,
      summary.errors.status, summary.errors.timeout,
      latency.min, latency.max, string.format("%.1f", latency.mean),
      string.format("%.3f", latency.stdev),
   }
   for _, p in pairs({ 50, 90, 99, 99.999 }) do
      fields[#fields + 1] = latency:percentile(p)
   end
   report = table.concat(fields, ",")

   values, counted = {}, 0
   for i = 1, #latency do
      local value, count = latency(i)
      values[i] = value .. "x" .. count
      counted = counted + count
   end
   rates = { #requests, requests.min, requests.max, requests.mean, requests:percentile(100) }
   print(report)
end
