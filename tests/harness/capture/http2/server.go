// HTTP/2 without TLS as Go's libraries speak it: from the first byte, and by an upgrade.
package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/h2c"
)

func serve() {
	mux := http.NewServeMux()
	mux.HandleFunc("/echo", func(w http.ResponseWriter, r *http.Request) {
		io.Copy(w, r.Body)
	})
	mux.HandleFunc("/stream", func(w http.ResponseWriter, r *http.Request) {
		for i := range 4 {
			fmt.Fprintln(w, "part", i)
			w.(http.Flusher).Flush()
			time.Sleep(20 * time.Millisecond)
		}
	})
	mux.HandleFunc("/panic", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	server := &http.Server{Addr: "127.0.0.1:28083", Handler: h2c.NewHandler(mux, &http2.Server{})}
	panic(server.ListenAndServe())
}

func main() {
	if len(os.Args) < 2 {
		serve()
	}
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	client := &http.Client{Transport: &http.Transport{Protocols: protocols}}
	for _, path := range os.Args[1:] {
		answer, err := client.Get("http://127.0.0.1:28080" + path)
		if err == nil {
			io.Copy(io.Discard, answer.Body)
			answer.Body.Close()
		}
	}
}
