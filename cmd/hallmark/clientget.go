// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
)

// get asks for what anybody may know and decodes the answer, of which it reads
// limit bytes at most. It returns the status of an answer that is none.
func (c *client) get(ctx context.Context, path string, limit int64, into any) (status int, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.server+path, http.NoBody)
	if err != nil {
		return 0, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return 0, callError(err)
	}
	defer func() { _ = resp.Body.Close() }() // read to the end or given up
	body, err := readAnswer(resp.Body, limit)
	if err != nil {
		return 0, fmt.Errorf("read the service's answer: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		return resp.StatusCode, problemError(req.URL, resp.StatusCode, resp.Header, body)
	}
	if err := json.Unmarshal(body, into); err != nil {
		return resp.StatusCode, fmt.Errorf("read the service's answer: %w", err)
	}
	return resp.StatusCode, nil
}
