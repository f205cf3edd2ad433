// An inventory over TLS by net/http, and a client of it: `server` and `server client URL COUNT
// CONCURRENCY MARK`. HTTP=1 or 2.
package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

func certificates(name string) string { return os.Getenv("CERTIFICATES") + "/" + name }

func client(connections int) *http.Client {
	ca, err := os.ReadFile(certificates("ca.pem"))
	if err != nil {
		log.Fatal(err)
	}
	trusted := x509.NewCertPool()
	trusted.AppendCertsFromPEM(ca)
	return &http.Client{Transport: &http.Transport{
		TLSClientConfig:     &tls.Config{RootCAs: trusted},
		ForceAttemptHTTP2:   os.Getenv("HTTP") == "2",
		MaxIdleConnsPerHost: connections,
	}}
}

func send(client *http.Client, method, url string) error {
	var body io.Reader
	if method == http.MethodPost {
		body = strings.NewReader("name=new")
	}
	request, err := http.NewRequest(method, url, body)
	if err != nil {
		return err
	}
	answer, err := client.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	_, err = io.Copy(io.Discard, answer.Body)
	return err
}

func serve() {
	stock := client(64)
	handler := http.HandlerFunc(func(answer http.ResponseWriter, request *http.Request) {
		parts := strings.Split(request.URL.Path, "/")
		status := http.StatusInternalServerError
		switch {
		case request.Method == http.MethodPost:
			io.Copy(io.Discard, request.Body)
			status = http.StatusCreated
		case parts[1] == "call":
			url := os.Getenv("UPSTREAM") + "/items/" + parts[2]
			if err := send(stock, http.MethodGet, url); err == nil {
				status = http.StatusOK
			}
		case parts[1] == "items":
			status = http.StatusOK
		case parts[1] == "missing":
			status = http.StatusNotFound
		}
		answer.WriteHeader(status)
		fmt.Fprintln(answer, "an item")
	})
	server := &http.Server{Handler: handler}
	if os.Getenv("HTTP") != "2" {
		server.TLSNextProto = map[string]func(*http.Server, *tls.Conn, http.Handler){}
	}
	listener, err := net.Listen("tcp", "127.0.0.1:"+os.Getenv("PORT"))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("listening on %s\n", listener.Addr())
	log.Fatal(server.ServeTLS(listener, certificates("cert.pem"), certificates("key.pem")))
}

func ask(url string, count, many int, mark string) {
	verbs := []string{"items", "items", "missing", "broken", "items"}
	if os.Getenv("CALLS") != "" {
		verbs[4] = "call"
	}
	client := client(many)
	numbers := make(chan int)
	var workers sync.WaitGroup
	for range make([]struct{}, many) {
		workers.Add(1)
		go func() {
			defer workers.Done()
			for number := range numbers {
				method := http.MethodGet
				if number%5 == 1 {
					method = http.MethodPost
				}
				path := fmt.Sprintf("/%s/%sn%d", verbs[number%5], mark, number)
				if err := send(client, method, url+path); err != nil {
					log.Fatal(err)
				}
			}
		}()
	}
	fmt.Println("ready")
	for {
		if _, err := os.Stat(os.Getenv("GO")); err == nil {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	for number := 0; number < count; number++ {
		numbers <- number
	}
	close(numbers)
	workers.Wait()
	fmt.Println("sent")
}

func main() {
	if len(os.Args) < 6 {
		serve()
		return
	}
	count, _ := strconv.Atoi(os.Args[3])
	many, _ := strconv.Atoi(os.Args[4])
	ask(os.Args[2], count, many, os.Args[5])
}
