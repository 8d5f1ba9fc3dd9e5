package caddymodule

import (
	"encoding/json"
	"net/http/httptest"
	"testing"

	"github.com/scribegate/scribegate/caddymodule/internal/receive"
)

// TestReceivedIsJSON uses an id that another plugin's provider could give.
func TestReceivedIsJSON(t *testing.T) {
	t.Parallel()
	const id = "other-\"\\\n-1"
	w := httptest.NewRecorder()
	receive.WriteReceived(w, id, true)
	var got struct {
		Received, Duplicate bool
		ID                  string
	}
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || !got.Received || !got.Duplicate || got.ID != id {
		t.Errorf("%s: %+v, %v", w.Body, got, err)
	}
}
