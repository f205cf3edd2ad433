package main

import (
	"crypto/tls"
	"log"
	"net/http"
)

// tlsWay calls over TLS, by HTTP/2 or HTTP/1.
func tlsWay(onward fetcher, h2 bool) fetcher {
	own, trusted := certificate()
	transport := &http.Transport{MaxIdleConnsPerHost: 32, TLSClientConfig: &tls.Config{RootCAs: trusted}}
	server := &http.Server{
		Handler:   hop(onward),
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{own}},
	}
	if h2 {
		transport.ForceAttemptHTTP2 = true
	} else {
		server.TLSNextProto = map[string]func(*http.Server, *tls.Conn, http.Handler){}
	}
	inner := listen("127.0.0.1:0")
	go func() { log.Fatal(server.ServeTLS(inner, "", "")) }()
	return over(&http.Client{Transport: transport}, "https://"+inner.Addr().String())
}
