-- The paths to load come from the command line, behind --.
local paths, at = {}, 0

function init(args)
   for i = 1, #args do
      paths[i] = args[i]
   end
   paths[#paths + 1] = "/" .. #args[0]
end

function request()
   at = at % #paths + 1
   return wrk.format(nil, paths[at])
end
