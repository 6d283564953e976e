-- Shows what comes back.
lines = {}

function response(status, headers, body)
   for name, value in pairs(headers) do
      lines[#lines + 1] = name .. ": " .. value
   end
   table.sort(lines)
   lines[#lines + 1] = status .. " " .. #body .. " " .. body
   io.write(table.concat(lines, "\n"), "\n")
end
