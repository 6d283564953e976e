-- Two requests at a time, and something to say.
function request()
   print("asked")
   return wrk.format() .. wrk.format()
end

function done(summary)
   io.write("done after ", summary.requests, "\n")
   io.stdout:write("by its name\n")
end
