// echo as a peer of ringserve: its router, binding and rendering on net/http.
package main

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"ringbench/peer"
)

func main() {
	listener, orders := peer.Start()
	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	e.GET("/", func(c echo.Context) error { return c.String(http.StatusOK, peer.Hello) })
	e.GET("/orders", func(c echo.Context) error { return c.JSON(http.StatusOK, orders) })
	e.POST("/ping", func(c echo.Context) error {
		var ping peer.Ping
		if err := c.Bind(&ping); err != nil {
			return err
		}
		return c.JSON(http.StatusOK, ping)
	})
	e.Listener = listener
	peer.Ended(e.Start(""))
}
