package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

var upstream = os.Getenv("UPSTREAM")

var client = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 32}}

// fetch writes down, or looks up, what it is about, and asks the upstream for it.
func fetch(ctx context.Context, path string) (int, error) {
	if err := store.ask(ctx, path); err != nil {
		return 0, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, upstream+path, nil)
	if err != nil {
		return 0, err
	}
	answer, err := client.Do(request)
	if err != nil {
		return 0, err
	}
	defer answer.Body.Close()
	io.Copy(io.Discard, answer.Body)
	return answer.StatusCode, nil
}

var oneAtATime sync.Mutex

// serve does what the first segment of the path names.
func serve(ctx context.Context, verb, id string) error {
	leaf := func(step int) string { return fmt.Sprintf("/leaf/%s/%d", id, step) }
	switch verb {
	case "work":
		_, err := fetch(ctx, leaf(1))
		time.Sleep(3 * time.Millisecond)
		return err
	case "seq":
		if _, err := fetch(ctx, leaf(1)); err != nil {
			return err
		}
		<-time.After(3 * time.Millisecond)
		_, err := fetch(ctx, leaf(2))
		return err
	case "fan":
		group, ctx := errgroup.WithContext(ctx)
		for step := 1; step <= 3; step++ {
			group.Go(func() error {
				_, err := fetch(ctx, leaf(step))
				return err
			})
		}
		return group.Wait()
	case "lock":
		oneAtATime.Lock()
		defer oneAtATime.Unlock()
		_, err := fetch(ctx, leaf(1))
		return err
	case "retry":
		status, err := fetch(ctx, "/flaky/"+id+"/1")
		if err == nil && status == http.StatusServiceUnavailable {
			_, err = fetch(ctx, "/flaky/"+id+"/1")
		}
		return err
	case "after":
		ctx := context.WithoutCancel(ctx)
		go func() {
			time.Sleep(3 * time.Millisecond)
			fetch(ctx, leaf(1))
		}()
		return nil
	}
	return fmt.Errorf("no such path: %s", verb)
}

func main() {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{verb}/{id}", func(w http.ResponseWriter, r *http.Request) {
		if err := serve(r.Context(), r.PathValue("verb"), r.PathValue("id")); err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		io.WriteString(w, "done\n")
	})
	// One statement, and nothing else.
	mux.HandleFunc("GET /one", func(w http.ResponseWriter, r *http.Request) {
		if err := store.one(r.Context()); err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		io.WriteString(w, "done\n")
	})
	if err := store.open(context.Background()); err != nil {
		log.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:"+os.Getenv("PORT"))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("listening on %s\n", listener.Addr())
	log.Fatal(http.Serve(listener, mux))
}
