// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os/exec"
	"strings"
	"time"

	"github.com/spiffe/go-spiffe/v2/svid/jwtsvid"
	"github.com/spiffe/go-spiffe/v2/workloadapi"
)

// ambientCI is a CI that gives a token to a job that asks for one.
type ambientCI struct {
	// here says whether this process runs in such a job.
	here func(env environment) bool
	// token asks for a token of the audience.
	token func(ctx context.Context, env environment, audience string) (string, error)
}

// ambientCIs are looked for in this order. GitLab is none of them: its jobs have
// their tokens in the environment already.
func ambientCIs() []ambientCI {
	// set says whether a variable has the value, or any if none is given.
	set := func(name, value string) func(environment) bool {
		return func(env environment) bool {
			got := env.getenv(name)
			return got != "" && (value == "" || got == value)
		}
	}
	return []ambientCI{
		{set("ACTIONS_ID_TOKEN_REQUEST_URL", ""), tokenFromGitHub},
		{set("BUILDKITE", "true"), tokenFromBuildkite},
		{set("CIRCLECI", "true"), tokenFromCircleCI},
		{set("SPIFFE_ENDPOINT_SOCKET", ""), tokenFromSPIFFE},
	}
}

// githubClient speaks HTTP/1.1: some of GitHub's token endpoints refuse
// requests over HTTP/2.
func githubClient() *http.Client {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	return &http.Client{
		Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, Protocols: protocols},
		// The runner's secret goes where the runner said.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// tokenFromGitHub asks the runner for a token of our audience.
func tokenFromGitHub(ctx context.Context, env environment, audience string) (string, error) {
	u, err := url.Parse(env.getenv("ACTIONS_ID_TOKEN_REQUEST_URL"))
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
	req.Header.Set("Authorization", "bearer "+env.getenv("ACTIONS_ID_TOKEN_REQUEST_TOKEN"))
	resp, err := githubClient().Do(req)
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

// tokenFromBuildkite has the job's agent ask for a token, with the two ids that
// the service wants and that are not in it otherwise.
func tokenFromBuildkite(ctx context.Context, env environment, audience string) (string, error) {
	return tokenFromCommand(ctx, env, "Buildkite",
		"buildkite-agent", "oidc", "request-token", "--audience", audience, "--claim", "organization_id,pipeline_id")
}

// tokenFromCircleCI has CircleCI's command make a token: those in the job's
// environment are for CircleCI's own audience.
func tokenFromCircleCI(ctx context.Context, env environment, audience string) (string, error) {
	claims, err := json.Marshal(map[string]string{"aud": audience})
	if err != nil {
		return "", err
	}
	return tokenFromCommand(ctx, env, "CircleCI", "circleci", "run", "oidc", "get", "--claims", string(claims))
}

// tokenFromCommand runs a command of the CI that prints a token. What it says on
// stderr is for the person who reads the job's log; what it prints is a secret.
func tokenFromCommand(ctx context.Context, env environment, ci, name string, args ...string) (string, error) {
	if _, err := exec.LookPath(name); err != nil {
		return "", fmt.Errorf("ask %s for a token: %s is not in PATH (hint: mount it into the job's container, or make the token outside and pass --token FILE)", ci, name)
	}
	ctx, cancel := context.WithTimeout(ctx, tokenTimeout)
	defer cancel()
	var out limitedBuffer
	cmd := exec.CommandContext(ctx, name, args...) //nolint:gosec // the CI's own command, with our arguments
	cmd.Stdout, cmd.Stderr = &out, env.stderr
	cmd.WaitDelay = time.Second // for a grandchild that keeps the pipe open
	err := cmd.Run()
	switch {
	case out.full:
		return "", fmt.Errorf("ask %s for a token: %s prints too much for a token", ci, name)
	case err != nil:
		return "", fmt.Errorf("ask %s for a token: %s %s: %w", ci, name, args[0], err)
	}
	return readToken(&out.text, ci)
}

// limitedBuffer takes a little more than a token can have and fails after that.
type limitedBuffer struct {
	text bytes.Buffer // not embedded: its ReadFrom would pass by the limit
	full bool
}

// Write implements io.Writer.
func (b *limitedBuffer) Write(p []byte) (int, error) {
	if b.full = b.text.Len()+len(p) > maxToken+1; b.full {
		return 0, errors.New("too much output for a token")
	}
	return b.text.Write(p)
}

// tokenFromSPIFFE asks the agent behind SPIFFE_ENDPOINT_SOCKET for a JWT-SVID of
// this workload. A workload with several identities gets its first one, which is
// the default; another is fetched with spire-agent and passed with --token.
func tokenFromSPIFFE(ctx context.Context, env environment, audience string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, tokenTimeout)
	defer cancel()
	svid, err := workloadapi.FetchJWTSVID(ctx, jwtsvid.Params{Audience: audience}, workloadapi.WithAddr(strings.TrimSpace(env.getenv("SPIFFE_ENDPOINT_SOCKET"))))
	if err != nil {
		return "", fmt.Errorf("ask the SPIFFE agent for a token: %w (hint: is this workload registered with it?)", err)
	}
	return svid.Marshal(), nil
}
