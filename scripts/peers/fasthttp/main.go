// fasthttp as a peer of ringserve: its server and a switch over the path, without a router.
package main

import (
	"encoding/json"

	"github.com/valyala/fasthttp"

	"ringbench/peer"
)

func main() {
	listener, orders := peer.Start()
	server := &fasthttp.Server{
		Name: "fasthttp",
		Handler: func(ctx *fasthttp.RequestCtx) {
			switch string(ctx.Path()) {
			case "/":
				ctx.SetContentType("text/plain; charset=utf-8")
				ctx.SetBodyString(peer.Hello)
			case "/orders":
				answerJSON(ctx, orders)
			case "/ping":
				ping(ctx)
			default:
				ctx.Error("not found", fasthttp.StatusNotFound)
			}
		},
	}
	peer.Ended(server.Serve(listener))
}

func ping(ctx *fasthttp.RequestCtx) {
	if !ctx.IsPost() {
		ctx.Error("POST only", fasthttp.StatusMethodNotAllowed)
		return
	}
	var ping peer.Ping
	if err := json.Unmarshal(ctx.PostBody(), &ping); err != nil {
		ctx.Error(err.Error(), fasthttp.StatusBadRequest)
		return
	}
	answerJSON(ctx, ping)
}

// The bytes become the body as they are: nothing is copied.
func answerJSON(ctx *fasthttp.RequestCtx, value any) {
	body, err := json.Marshal(value)
	if err != nil {
		ctx.Error(err.Error(), fasthttp.StatusInternalServerError)
		return
	}
	ctx.SetContentType("application/json")
	ctx.Response.SetBodyRaw(body)
}
