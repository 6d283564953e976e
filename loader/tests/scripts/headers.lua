-- Headers that are given to wrk.format stand in place of wrk.headers, but for Host.
local turn = 0

function request()
   turn = turn + 1
   if turn % 2 == 0 then
      return wrk.format("PUT", "/own", { ["X-Own"] = "yes", Accept = "*/*" }, "text " .. turn)
   end
   return wrk.format("GET", "/own", { Host = "other.example", ["X-Number"] = 1.5 })
end
