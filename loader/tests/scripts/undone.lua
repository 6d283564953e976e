-- Fails when the run is over.
function done()
   error("no more")
end
