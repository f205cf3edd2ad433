package main

import (
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"

	"github.com/gin-gonic/gin"
)

func handler(f fetcher) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{verb}/{id}", func(w http.ResponseWriter, r *http.Request) {
		if err := serve(r.Context(), f, r.PathValue("verb"), r.PathValue("id")); err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		io.WriteString(w, "done\n")
	})
	return mux
}

func router(f fetcher) http.Handler {
	gin.SetMode(gin.ReleaseMode)
	engine := gin.New()
	engine.Use(gin.Recovery())
	engine.GET("/:verb/:id", func(c *gin.Context) {
		if err := serve(c.Request.Context(), f, c.Param("verb"), c.Param("id")); err != nil {
			c.String(http.StatusBadGateway, err.Error())
			return
		}
		c.String(http.StatusOK, "done\n")
	})
	return engine
}

func main() {
	var served http.Handler
	switch os.Getenv("STYLE") {
	case "pool":
		served = handler(newPool(16, true))
	case "pool-bare":
		served = handler(newPool(16, false))
	case "singleflight":
		served = handler(&flight{})
	case "gin":
		served = router(direct{})
	default:
		served = handler(direct{})
	}
	listener, err := net.Listen("tcp", "127.0.0.1:"+os.Getenv("PORT"))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("listening on %s\n", listener.Addr())
	log.Fatal(http.Serve(listener, served))
}
