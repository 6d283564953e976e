-- Every request is another one.
local count = 0

function request()
   count = count + 1
   wrk.headers["X-Count"] = count
   return wrk.format(count % 3 == 0 and "DELETE" or nil, "/item/" .. count)
end
