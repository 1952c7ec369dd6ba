package main

import (
	"context"
	"net/http"
	"sync"
)

// Request is what a client has sent, and how it was answered.
type Request struct {
	// The path with its query, escaped as sent.
	URI string `json:"uri"`
	// The Accept header.
	Accept string `json:"accept"`
	Code   int    `json:"code"`
	// The answer's Content-Type.
	ContentType string `json:"contentType"`
}

// requestLog keeps what went over the wire during a call, and the warnings that came back.
type requestLog struct {
	lock     sync.Mutex
	requests []Request
	warnings []string
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(request *http.Request) (*http.Response, error) { return f(request) }

func (l *requestLog) around(next http.RoundTripper) http.RoundTripper {
	return roundTripper(func(request *http.Request) (*http.Response, error) {
		response, err := next.RoundTrip(request)
		sent := Request{URI: request.URL.RequestURI(), Accept: request.Header.Get("Accept")}
		if response != nil {
			sent.Code = response.StatusCode
			sent.ContentType = response.Header.Get("Content-Type")
		}
		l.lock.Lock()
		defer l.lock.Unlock()
		l.requests = append(l.requests, sent)
		return response, err
	})
}

// HandleWarningHeaderWithContext is called by client-go for each Warning header.
func (l *requestLog) HandleWarningHeaderWithContext(_ context.Context, _ int, _, text string) {
	l.lock.Lock()
	defer l.lock.Unlock()
	l.warnings = append(l.warnings, text)
}

// take gives what was collected and forgets it.
func (l *requestLog) take() ([]Request, []string) {
	l.lock.Lock()
	defer l.lock.Unlock()
	requests, warnings := l.requests, l.warnings
	l.requests, l.warnings = nil, nil
	return requests, warnings
}
