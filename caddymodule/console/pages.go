package console

import (
	"net/http"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"
)

// pages are the pages of one console.
type pages struct {
	logger *zap.Logger
}

func newPages(_ caddy.Context, logger *zap.Logger) *pages {
	return &pages{logger: logger}
}

// serve answers a visitor's request. The method is GET, HEAD or POST. A POST comes from the
// console's own pages, and its body is bounded. The headers that every answer has are set.
func (p *pages) serve(w http.ResponseWriter, _ *http.Request, _ visitor) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = w.Write([]byte("<!doctype html>\n<html lang=\"en\">\n<title>Scribegate</title>\n<link rel=\"stylesheet\" href=\"style.css\">\n<link rel=\"icon\" href=\"icon.svg\">\n<h1>Scribegate</h1>\n"))
}
