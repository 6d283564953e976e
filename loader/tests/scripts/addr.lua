-- The threads share out the addresses of the host: the first takes the first, and so on.
local addrs, turn

function setup(thread)
   if not addrs then
      addrs, turn = {}, 0
      for _, addr in ipairs(wrk.lookup(wrk.host, wrk.port or "http")) do
         if wrk.connect(addr) then
            addrs[#addrs + 1] = addr
         end
      end
      -- A second one, so that there is something to take turns with.
      addrs[#addrs + 1] = wrk.lookup("127.0.0.9", wrk.port or "http")[1]
   end
   thread.addr = addrs[turn % #addrs + 1]
   turn = turn + 1
   names = (names or "") .. tostring(thread.addr) .. " "
end
