-- No functions at all: the request follows from the command line and from what is set here.
wrk.headers["X-Script"] = "static"
