package console

import (
	"embed"
	"net/http"
	"path"
)

//go:embed assets
var assets embed.FS

// assetTypes has the content type of each asset.
var assetTypes = map[string]string{
	"style.css":  "text/css; charset=utf-8",
	"console.js": "text/javascript; charset=utf-8",
	"icon.svg":   "image/svg+xml",
}

// serveAsset answers a request for an asset. It returns false if the request is for a page.
func serveAsset(w http.ResponseWriter, r *http.Request) bool {
	name := path.Base(r.URL.Path)
	contentType, ok := assetTypes[name]
	if !ok {
		return false
	}
	content, err := assets.ReadFile("assets/" + name)
	if err != nil {
		return false
	}
	w.Header().Set("Content-Type", contentType)
	_, _ = w.Write(content) // a client that has gone needs no answer
	return true
}
