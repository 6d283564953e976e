// Go's own net/http as a peer of ringserve: the standard library, and nothing else.
package main

import (
	"encoding/json"
	"net/http"
	"strconv"

	"ringbench/peer"
)

func main() {
	listener, orders := peer.Start()
	mux := http.NewServeMux()
	mux.HandleFunc("/", hello)
	mux.HandleFunc("/orders", func(w http.ResponseWriter, r *http.Request) { answerJSON(w, orders) })
	mux.HandleFunc("/ping", ping)
	peer.Ended(http.Serve(listener, mux))
}

func hello(w http.ResponseWriter, r *http.Request) {
	// The mux gives this one all that it knows no other for.
	if r.URL.Path != "/" {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	// An error here is a client that went away; so is that below.
	w.Write([]byte(peer.Hello))
}

func ping(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		http.Error(w, "POST only", http.StatusMethodNotAllowed)
		return
	}
	var ping peer.Ping
	if err := json.NewDecoder(r.Body).Decode(&ping); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	answerJSON(w, ping)
}

// With the length, without which an answer past 2 KB would be chunked.
func answerJSON(w http.ResponseWriter, value any) {
	body, err := json.Marshal(value)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.Write(body)
}
