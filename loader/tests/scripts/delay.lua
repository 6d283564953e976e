-- Waits before each request, every time for longer.
local last = 0

function delay()
   last = last + 10
   return last
end
