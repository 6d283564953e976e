-- Each thread counts for itself; done adds up.
local threads = {}

function setup(thread)
   threads[#threads + 1] = thread
   thread:set("id", #threads)
end

function init(args)
   sent, seen = 0, {}
end

function request()
   sent = sent + 1
   return wrk.format(nil, "/" .. id .. "/" .. sent)
end

function response(status)
   seen[status] = (seen[status] or 0) + 1
end

function done(summary, latency, requests)
   total, statuses, report = 0, {}, {}
   for i, thread in ipairs(threads) do
      total = total + thread:get("sent")
      for status, count in pairs(thread:get("seen")) do
         statuses[status] = (statuses[status] or 0) + count
      end
      report[i] = string.format("thread %d sent %d", thread:get("id"), thread:get("sent"))
   end
   print(table.concat(report, "\n"))
end
