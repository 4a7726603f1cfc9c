// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
)

const (
	// maxToken bounds a token file or answer, bytes; the service takes 16 KiB.
	maxToken = 64 << 10
	// tokenTimeout bounds the call to the CI's token endpoint.
	tokenTimeout = 30 * time.Second
	// defaultTokenFile is where the documented pod template projects the
	// service account token.
	defaultTokenFile = "/var/run/secrets/hallmark/token" //nolint:gosec // a path, not a credential
)

// findToken returns the CI token: from the flag (a file, or - for stdin), from
// HALLMARK_ID_TOKEN (GitLab's id_tokens, or any CI), from GitHub's request
// URL, or from a projected Kubernetes token file.
func findToken(ctx context.Context, env environment, flag, audience string) (string, error) {
	switch {
	case flag == "-":
		return readToken(env.stdin, "standard input")
	case flag != "":
		return tokenFromNamedFile(flag)
	case env.getenv("HALLMARK_ID_TOKEN") != "":
		return strings.TrimSpace(env.getenv("HALLMARK_ID_TOKEN")), nil
	case env.getenv("ACTIONS_ID_TOKEN_REQUEST_URL") != "":
		return tokenFromGitHub(ctx, env.getenv("ACTIONS_ID_TOKEN_REQUEST_URL"), env.getenv("ACTIONS_ID_TOKEN_REQUEST_TOKEN"), audience)
	case env.getenv("HALLMARK_ID_TOKEN_FILE") != "":
		return tokenFromNamedFile(env.getenv("HALLMARK_ID_TOKEN_FILE"))
	}
	token, err := tokenFromFile(defaultTokenFile)
	if errors.Is(err, os.ErrNotExist) {
		return "", no("no CI identity here: only CI jobs can sign\n"+
			"  GitHub Actions: give the job `permissions: id-token: write`\n"+
			"  GitLab: give the job `id_tokens: {HALLMARK_ID_TOKEN: {aud: %s}}`\n"+
			"  Kubernetes: project a token for audience %s to %s\n"+
			"  otherwise: --token FILE or HALLMARK_ID_TOKEN", audience, audience, defaultTokenFile)
	}
	return token, err
}

// tokenFromNamedFile reads a file that the caller named: if it is not there,
// the name is wrong.
func tokenFromNamedFile(path string) (string, error) {
	token, err := tokenFromFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return "", usage("%w (hint: --token and HALLMARK_ID_TOKEN_FILE name a file that holds the CI token)", err)
	}
	return token, err
}

func tokenFromFile(path string) (string, error) {
	f, err := os.Open(path) //nolint:gosec // the user names the file
	if err != nil {
		return "", fmt.Errorf("open token file: %w", err)
	}
	defer func() { _ = f.Close() }() // read only
	return readToken(f, path)
}

func readToken(r io.Reader, name string) (string, error) {
	raw, err := io.ReadAll(io.LimitReader(r, maxToken+1))
	if err != nil {
		return "", fmt.Errorf("read token from %s: %w", name, err)
	}
	token := strings.TrimSpace(string(raw))
	if token == "" || len(raw) > maxToken {
		return "", usage("read token from %s: want one token of at most %d bytes, found %d bytes", name, maxToken, len(raw))
	}
	return token, nil
}

// tokenFromGitHub asks the runner for a token of our audience.
func tokenFromGitHub(ctx context.Context, requestURL, requestToken, audience string) (string, error) {
	u, err := url.Parse(requestURL)
	if err != nil {
		return "", fmt.Errorf("ask GitHub for a token: ACTIONS_ID_TOKEN_REQUEST_URL: %w", err)
	}
	q := u.Query()
	q.Set("audience", audience)
	u.RawQuery = q.Encode()
	ctx, cancel := context.WithTimeout(ctx, tokenTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return "", fmt.Errorf("ask GitHub for a token: %w", err)
	}
	req.Header.Set("Authorization", "bearer "+requestToken)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", fmt.Errorf("ask GitHub for a token: %w", err)
	}
	defer func() { _ = resp.Body.Close() }() // read to the end or given up
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("ask GitHub for a token: %s (hint: does the job have `permissions: id-token: write`?)", resp.Status)
	}
	var body struct {
		Value string `json:"value"`
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxToken)).Decode(&body); err != nil {
		return "", fmt.Errorf("ask GitHub for a token: %w", err)
	}
	if body.Value == "" {
		return "", errors.New("ask GitHub for a token: the answer holds none")
	}
	return body.Value, nil
}
