-- Logs in, and sends the token it was given with all requests that follow.
local path, token = "/login", nil

function request()
   return wrk.format("GET", path)
end

function response(status, headers, body)
   if token == nil and status == 200 then
      token = headers["X-Token"]
      path = "/private"
      wrk.headers["Authorization"] = "Bearer " .. token
   end
end
