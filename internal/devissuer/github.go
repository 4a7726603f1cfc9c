// SPDX-License-Identifier: Apache-2.0

package devissuer

import (
	"crypto/rand"
	"strings"
	"time"
)

// Lives as the providers give them.
const (
	githubLife = 5 * time.Minute
	// githubBackdate is how far GitHub's nbf lies before iat.
	githubBackdate = 10 * time.Minute
	gitlabLife     = time.Hour // a job's default time-out
	gitlabBackdate = 5 * time.Second
)

// workflowFile is the workflow that GitHub-shaped tokens come from.
const workflowFile = ".github/workflows/release.yml"

const githubSource = `provider: github, issuer: "ISSUER", url: "https://github.com"`

// githubClaims are those of docs.github.com, "OpenID Connect reference".
//
// event_name=pull_request speaks of the merge ref and has base_ref and
// head_ref. event_name=pull_request_target has them too, but speaks of the
// base branch like a push, which is what makes it dangerous. A fork's own run
// is repository=<fork>: forks get no token for a pull request.
func githubClaims(issuer, audience string, now time.Time, overrides map[string]string) (map[string]any, error) {
	c := newClaimSet(overrides)
	c.text("iss", issuer)
	c.text("aud", audience)
	c.text("jti", rand.Text())
	c.number("iat", now.Unix())
	c.number("nbf", now.Add(-githubBackdate).Unix())
	c.number("exp", now.Add(githubLife).Unix())

	repository := c.text("repository", "acme/app")
	owner, _, _ := strings.Cut(repository, "/")
	owner = c.text("repository_owner", owner)
	c.text("repository_id", idOf(repository))
	c.text("repository_owner_id", idOf(owner))
	c.text("repository_visibility", "private")

	event := c.text("event_name", "push")
	defaultRef, base, head := "refs/heads/main", "", ""
	switch event {
	case "pull_request":
		defaultRef, base, head = "refs/pull/1/merge", "main", "feature"
	case "pull_request_target":
		base, head = "main", "feature"
	case "release":
		defaultRef = "refs/tags/v1.0.0"
	}
	ref := c.text("ref", defaultRef)
	c.text("ref_type", refType(ref))
	c.text("ref_protected", protected(ref))
	c.text("base_ref", base)
	c.text("head_ref", head)
	commit := c.text("sha", commitOf(repository, ref))

	c.text("workflow", "release")
	workflow := c.text("workflow_ref", repository+"/"+workflowFile+"@"+ref)
	workflowCommit := c.text("workflow_sha", commit)
	c.text("job_workflow_ref", workflow) // unless a reusable workflow is called
	c.text("job_workflow_sha", workflowCommit)

	c.text("run_id", randomID())
	c.text("run_number", "1")
	c.text("run_attempt", "1")
	c.text("runner_environment", "github-hosted")
	c.text("actor", "octocat")
	c.text("actor_id", "583231")
	c.text("sub", githubSubject(repository, event, ref, overrides["environment"]))
	return c.rest()
}

// githubSubject is the default form, which an organisation may change.
func githubSubject(repository, event, ref, environment string) string {
	switch {
	case environment != "":
		return "repo:" + repository + ":environment:" + strings.ReplaceAll(environment, ":", "%3A")
	case event == "pull_request":
		return "repo:" + repository + ":pull_request"
	}
	return "repo:" + repository + ":ref:" + ref
}
