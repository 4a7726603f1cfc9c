// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

const (
	// maxToken bounds a token file or answer, bytes; the service takes 16 KiB.
	maxToken = 64 << 10
	// tokenTimeout bounds asking the CI for a token.
	tokenTimeout = 30 * time.Second
	// defaultTokenFile is where the documented pod template projects the
	// service account token.
	defaultTokenFile = "/var/run/secrets/hallmark/token" //nolint:gosec // a path, not a credential
)

// findToken returns the CI token: from the flag (a file, or - for stdin), from
// HALLMARK_ID_TOKEN (GitLab's id_tokens, or any CI), from HALLMARK_ID_TOKEN_FILE,
// from the CI that this job runs in (tokenci.go), or from a projected Kubernetes
// token file.
func findToken(ctx context.Context, env environment, flag, audience string) (string, error) {
	switch {
	case flag == "-":
		return readToken(env.stdin, "standard input")
	case flag != "":
		return tokenFromNamedFile(flag)
	case env.getenv("HALLMARK_ID_TOKEN") != "":
		return strings.TrimSpace(env.getenv("HALLMARK_ID_TOKEN")), nil
	case env.getenv("HALLMARK_ID_TOKEN_FILE") != "":
		return tokenFromNamedFile(env.getenv("HALLMARK_ID_TOKEN_FILE"))
	}
	for _, ci := range ambientCIs() {
		if ci.here(env) {
			return ci.token(ctx, env, audience)
		}
	}
	token, err := tokenFromFile(defaultTokenFile)
	if errors.Is(err, os.ErrNotExist) {
		return "", no("no CI identity here: only CI jobs can sign\n"+
			"  GitHub Actions: give the job `permissions: id-token: write`\n"+
			"  GitLab: give the job `id_tokens: {HALLMARK_ID_TOKEN: {aud: %s}}`\n"+
			"  Buildkite, CircleCI: nothing is needed but their agent or command in PATH\n"+
			"  Kubernetes: project a token for audience %s to %s\n"+
			"  SPIFFE: set SPIFFE_ENDPOINT_SOCKET\n"+
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
