// Package peer is what the Go peers of ringserve share: the command line, the rows of /orders and the
// shape of a /ping. All that answers requests is in each peer's main.go.
package peer

import (
	"encoding/json"
	"flag"
	"fmt"
	"net"
	"os"
	"runtime"
)

// Hello is the answer to GET /.
const Hello = "Hello, World!"

// Name and Version of the framework, filled in by the linker; Version is empty where it is Go's own.
var (
	Name    string
	Version string
)

// Order is a row of /orders.
type Order struct {
	ID         uint32 `json:"id"`
	CustomerID uint32 `json:"customer_id"`
	TotalCents uint32 `json:"total_cents"`
	Status     string `json:"status"`
	CreatedAt  string `json:"created_at"`
}

// Ping is what /ping is sent, and what it answers.
type Ping struct {
	Sequence int64 `json:"sequence"`
}

// Start reads the command line and returns the socket to serve and the rows of /orders. It ends the
// program where it cannot, and after --version.
func Start() (net.Listener, []Order) {
	listen := flag.String("listen", "127.0.0.1:8080", "`address` to serve at")
	path := flag.String("orders", "orders.json", "`file` with the rows of /orders")
	version := flag.Bool("version", false, "print name and version")
	flag.Parse()
	if *version {
		if Version == "" {
			fmt.Println(Name, runtime.Version())
		} else {
			fmt.Printf("%s %s (%s)\n", Name, Version, runtime.Version())
		}
		os.Exit(0)
	}
	orders, err := readOrders(*path)
	if err != nil {
		fail(err)
	}
	listener, err := net.Listen("tcp", *listen)
	if err != nil {
		fail(err)
	}
	return listener, orders
}

// Ended ends the program with what ended the server; it has no other way to end than a signal.
func Ended(err error) {
	fail(fmt.Errorf("the server ended: %w", err))
}

func readOrders(path string) ([]Order, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var orders []Order
	if err := json.Unmarshal(text, &orders); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return orders, nil
}

func fail(err error) {
	fmt.Fprintf(os.Stderr, "%s: %v\n", Name, err)
	os.Exit(1)
}
