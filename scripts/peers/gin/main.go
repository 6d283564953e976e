// gin as a peer of ringserve: its router, binding and rendering on net/http.
package main

import (
	"net/http"

	"github.com/gin-gonic/gin"

	"ringbench/peer"
)

func main() {
	listener, orders := peer.Start()
	gin.SetMode(gin.ReleaseMode)
	// As gin.Default, but without logs. Rendering panics where a client has gone, so recovery is needed.
	router := gin.New()
	router.Use(gin.RecoveryWithWriter(nil))
	router.GET("/", func(c *gin.Context) { c.String(http.StatusOK, peer.Hello) })
	router.GET("/orders", func(c *gin.Context) { c.JSON(http.StatusOK, orders) })
	router.POST("/ping", func(c *gin.Context) {
		var ping peer.Ping
		if err := c.ShouldBindJSON(&ping); err != nil {
			c.String(http.StatusBadRequest, "%v", err)
			return
		}
		c.JSON(http.StatusOK, ping)
	})
	peer.Ended(router.RunListener(listener))
}
