package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// A fetcher asks for a path and answers the status.
type fetcher func(ctx context.Context, path string) (int, error)

// over asks the server at base by client.
func over(client *http.Client, base string) fetcher {
	return func(ctx context.Context, path string) (int, error) {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, base+path, nil)
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
}

var oneAtATime sync.Mutex

// serve does what the first segment of the path names.
func serve(ctx context.Context, fetch fetcher, verb, id string) error {
	hop := func(step int) string { return fmt.Sprintf("/hop/%s/%d", id, step) }
	switch verb {
	case "work":
		_, err := fetch(ctx, hop(1))
		time.Sleep(3 * time.Millisecond)
		return err
	case "seq":
		if _, err := fetch(ctx, hop(1)); err != nil {
			return err
		}
		<-time.After(3 * time.Millisecond)
		_, err := fetch(ctx, hop(2))
		return err
	case "fan":
		group, ctx := errgroup.WithContext(ctx)
		for step := 1; step <= 3; step++ {
			group.Go(func() error {
				_, err := fetch(ctx, hop(step))
				return err
			})
		}
		return group.Wait()
	case "lock":
		oneAtATime.Lock()
		defer oneAtATime.Unlock()
		_, err := fetch(ctx, hop(1))
		return err
	case "after":
		ctx := context.WithoutCancel(ctx)
		go func() {
			time.Sleep(3 * time.Millisecond)
			fetch(ctx, hop(1))
		}()
		return nil
	}
	return fmt.Errorf("no such path: %s", verb)
}

// front answers the requests from outside.
func front(fetch fetcher) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{verb}/{id}", func(w http.ResponseWriter, r *http.Request) {
		if err := serve(r.Context(), fetch, r.PathValue("verb"), r.PathValue("id")); err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		io.WriteString(w, "done\n")
	})
	return mux
}

// hop passes a call on.
func hop(fetch fetcher) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /hop/{id}/{step}", func(w http.ResponseWriter, r *http.Request) {
		status, err := fetch(r.Context(), fmt.Sprintf("/leaf/%s/%s", r.PathValue("id"), r.PathValue("step")))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		w.WriteHeader(status)
		io.WriteString(w, "passed on\n")
	})
	return mux
}
