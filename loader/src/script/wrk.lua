-- The Lua side of a script's state: the global `wrk`, and the functions through which Rust calls
-- the script. What a script does to its globals (a `request` of its own, another `wrk.format`) is
-- looked up at each call, as in wrk.

local lookup, connect, prints_to_stderr = ...
local G = _G

if prints_to_stderr then
   local stderr, select, tostring = io.stderr, select, tostring
   io.stdout = stderr
   io.output(stderr)
   function print(...)
      local words = {}
      for i = 1, select("#", ...) do
         words[i] = tostring((select(i, ...)))
      end
      stderr:write(table.concat(words, "\t"), "\n")
   end
end

local error, pairs, tonumber, tostring, type = error, pairs, tonumber, tostring, type
local find, lower, sub = string.find, string.lower, string.sub
local remove = table.remove
local funcinfo = require("jit.util").funcinfo
local new_table = require("table.new")
local out = require("string.buffer").new(1024)
local stdout, type_of_file = io.stdout, io.type

local wrk = {
   scheme  = "http",
   host    = "localhost",
   port    = nil,
   method  = "GET",
   path    = "/",
   headers = {},
   body    = nil,
   thread  = nil,
   lookup  = lookup,
   connect = connect,
}
G.wrk = wrk

-- The value of Host, in whatever case its name is written: a second one would be refused.
local function host_in(headers)
   local host = headers.Host
   if host then
      return host
   end
   for name, value in pairs(headers) do
      if #name == 4 and lower(name) == "host" then
         return value
      end
   end
end

function wrk.resolve(host, service)
   local addrs = wrk.lookup(host, service)
   for i = #addrs, 1, -1 do
      if not wrk.connect(addrs[i]) then
         remove(addrs, i)
      end
   end
   wrk.addrs = addrs
end

function wrk.setup(thread)
   if type(G.setup) == "function" then
      G.setup(thread)
   end
end

local initialising = false

function wrk.init(args)
   if not host_in(wrk.headers) then
      local host, port = wrk.host, wrk.port
      if find(host, ":", 1, true) then
         host = "[" .. host .. "]"
      end
      wrk.headers.Host = port and (host .. ":" .. port) or host
   end

   -- Scripts for old versions of wrk call wrk.init from their own init.
   if type(G.init) == "function" and not initialising then
      initialising = true
      G.init(args)
      initialising = false
   end

   local request = wrk.format()
   wrk.request = function()
      return request
   end
end

-- As tostring, but safe while `out` is being filled: a __tostring of the script's may format a
-- request itself.
local function text_of(value)
   if type(value) ~= "table" then
      return tostring(value)
   end
   local before = out:tostring()
   local text = tostring(value)
   out:reset():put(before)
   return text
end

-- Leaves the table of headers as it is, other than wrk.
function wrk.format(method, path, headers, body)
   headers = headers or wrk.headers
   body = body or wrk.body
   out:reset():put(method or wrk.method, " ", path or wrk.path, " HTTP/1.1\r\n")
   local host = false
   for name, value in pairs(headers) do
      if type(name) ~= "string" then
         name = text_of(name)
      end
      local length = #name
      if length ~= 14 or lower(name) ~= "content-length" then
         host = host or (length == 4 and lower(name) == "host")
         if type(value) ~= "string" then
            value = text_of(value)
         end
         out:put(name, ": ", value, "\r\n")
      end
   end
   if not host then
      host = host_in(wrk.headers)
      if host then
         out:put("Host: ", text_of(host), "\r\n")
      end
   end
   if body then
      body = type(body) == "string" and body or text_of(body)
      out:put("Content-Length: ", #body, "\r\n\r\n", body)
   else
      out:put("\r\n")
   end
   return out:tostring()
end

local hooks = {}

function hooks.is(name)
   return type(G[name]) == "function"
end

function hooks.request()
   local request = G.request
   if type(request) ~= "function" then
      request = G.wrk.request
   end
   return request()
end

function hooks.delay()
   return tonumber((G.delay())) or 0
end

-- How many of (status, headers, body) a function can see.
local function parameters(f)
   local info = funcinfo(f)
   if not info.params or info.isvararg then
      return 3
   end
   return info.params
end

local known, known_parameters

function hooks.response_parameters()
   known = G.response
   known_parameters = type(known) == "function" and parameters(known) or 0
   return known_parameters
end

-- The header fields of the last response. Most servers send the same ones for a second on end: kept
-- here, they need not be cut up again, and their strings stay alive.
local cut, names, values, count = nil, {}, {}, 0

local function cut_up(fields)
   count = 0
   local at, length = 1, #fields
   while at <= length do
      local middle = find(fields, "\n", at, true)
      local last = find(fields, "\n", middle + 1, true)
      count = count + 1
      names[count] = sub(fields, at, middle - 1)
      values[count] = sub(fields, middle + 1, last - 1)
      at = last + 1
   end
   cut = fields
end

-- `fields` is a name and its value for each header field, each ended by a line feed, which neither
-- can have in it: one string is cheaper to bring here than many. nil, as `body`, if the script has no
-- parameter for it.
function hooks.response(status, fields, body)
   local response = G.response
   if response ~= known and type(response) == "function" then
      if parameters(response) > known_parameters then
         error("`response` was replaced by a function that takes more than the one at the start: "
            .. "give that one the parameters (status, headers, body) too", 0)
      end
   end
   if not fields then
      return response(status)
   end
   if fields ~= cut then
      cut_up(fields)
   end
   -- The script may keep it, so it is a new one each time.
   local headers = new_table(0, count)
   for i = 1, count do
      headers[names[i]] = values[i]
   end
   response(status, headers, body)
end

-- The script may have closed it, or chosen another file with io.output.
function hooks.flush()
   if type_of_file(stdout) == "file" then
      stdout:flush()
   end
end

return wrk, hooks
