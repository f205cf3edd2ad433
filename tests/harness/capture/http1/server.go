// Go's own server: any method, absolute targets, errors, long streams.
package main

import (
	"fmt"
	"io"
	"net/http"
	"strings"
)

func main() {
	mux := http.NewServeMux()
	mux.HandleFunc("/error", func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "broken", http.StatusServiceUnavailable)
	})
	mux.HandleFunc("/stream", func(w http.ResponseWriter, _ *http.Request) {
		for range 40 {
			io.WriteString(w, strings.Repeat("stream ", 300))
		}
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		size, _ := io.Copy(io.Discard, r.Body)
		fmt.Fprintf(w, "%s %s %d\n", r.Method, r.URL.Path, size)
	})
	http.ListenAndServe("127.0.0.1:28083", mux)
}
