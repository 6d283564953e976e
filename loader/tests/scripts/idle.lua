-- Leaves connections idle between requests, long enough for a server to close them.
function delay()
   return 50
end
