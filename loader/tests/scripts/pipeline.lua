-- Three requests are sent at once: they are built before the run, as one string.
local batch

function init(args)
   local requests = {}
   for i, path in ipairs({ "/one", "/two?x=1", "/three" }) do
      requests[i] = wrk.format(nil, path)
   end
   batch = table.concat(requests)
end

function request()
   return batch
end
