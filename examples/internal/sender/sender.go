package sender

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
)

// SOAPNoteAPI returns the request that SOAPNoteAPI would send at the time at.
func SOAPNoteAPI(ctx context.Context, url, secret string, body []byte, at time.Time) (*http.Request, error) {
	timestamp := strconv.FormatInt(at.Unix(), 10)
	mac := hmac.New(sha256.New, []byte(secret)) // the whole string, whsec_ included
	mac.Write([]byte(timestamp + "."))
	mac.Write(body)
	return post(ctx, url, body, http.Header{
		"X-Soapnoteapi-Signature": {hex.EncodeToString(mac.Sum(nil))},
		"X-Soapnoteapi-Timestamp": {timestamp},
	})
}

// Soniox returns the request that Soniox would send for a transcription that was created
// with this authentication header.
func Soniox(ctx context.Context, url, header, value string, body []byte) (*http.Request, error) {
	return post(ctx, url, body, http.Header{http.CanonicalHeaderKey(header): {value}})
}

func post(ctx context.Context, url string, body []byte, header http.Header) (*http.Request, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("making the request: %w", err)
	}
	request.Header = header
	request.Header.Set("Content-Type", "application/json")
	return request, nil
}

// An Answer is the gateway's answer to a provider.
type Answer struct {
	Status    int    `json:"-"`
	Received  bool   `json:"received"`
	ID        string `json:"id"`
	Duplicate bool   `json:"duplicate"`
	Error     string `json:"error"`
}

// Send sends a request and reads the answer, which must be JSON or empty.
func Send(request *http.Request) (Answer, error) { return SendWith(http.DefaultClient, request) }

// SendWith is Send with another client.
func SendWith(client *http.Client, request *http.Request) (Answer, error) {
	resp, err := client.Do(request)
	if err != nil {
		return Answer{}, fmt.Errorf("sending the request: %w", err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err != nil {
		return Answer{}, fmt.Errorf("reading the answer: %w", err)
	}
	answer := Answer{Status: resp.StatusCode}
	if len(body) == 0 {
		return answer, nil
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return answer, fmt.Errorf("reading the answer %d: %w", resp.StatusCode, err)
	}
	return answer, nil
}
