// SPDX-License-Identifier: Apache-2.0

package devissuer

import (
	"crypto/rand"
	"path"
	"strings"
	"time"
)

// GitLabHost is the host in ci_config_ref_uri, which has no scheme; the
// identity source's URL is https:// and this.
const GitLabHost = "gitlab.com"

const gitlabSource = `provider: gitlab, issuer: "ISSUER", url: "https://gitlab.com"`

// gitlabClaims are those of docs.gitlab.com, "OpenID Connect (OIDC)
// Authentication Using ID Tokens".
//
// pipeline_source=merge_request_event speaks of the source branch. A fork's
// merge request, run in the target project, is project_path=<fork> with
// job_project_path=acme/app.
func gitlabClaims(issuer, audience string, now time.Time, overrides map[string]string) (map[string]any, error) {
	c := newClaimSet(overrides)
	c.text("iss", issuer)
	c.text("aud", audience)
	c.text("jti", rand.Text())
	c.number("iat", now.Unix())
	c.number("nbf", now.Add(-gitlabBackdate).Unix())
	c.number("exp", now.Add(gitlabLife).Unix())

	project := c.text("project_path", "acme/app")
	c.text("project_id", idOf(project))
	namespace := c.text("namespace_path", path.Dir(project))
	c.text("namespace_id", idOf(namespace))
	c.text("project_visibility", "private")
	jobProject := c.text("job_project_path", project)
	c.text("job_project_id", idOf(jobProject))
	c.text("job_namespace_path", path.Dir(jobProject))
	c.text("job_namespace_id", idOf(path.Dir(jobProject)))

	source := c.text("pipeline_source", "push")
	c.text("pipeline_id", randomID())
	c.text("job_id", randomID())
	c.text("job_source", source)

	ref, refPath, kind := c.gitlabRef(source)
	c.text("ref_protected", protected(refPath))
	commit := c.text("sha", commitOf(project, refPath))
	c.nullable("ci_config_ref_uri", GitLabHost+"/"+jobProject+"//.gitlab-ci.yml@"+refPath)
	c.nullable("ci_config_sha", commit)

	c.number("runner_id", 12)
	c.nullable("runner_environment", "gitlab-hosted")
	c.text("user_id", "42")
	c.text("user_login", "octavia")
	c.text("user_email", "octavia@acme.example")
	c.text("user_access_level", "developer")
	c.list("groups_direct", "acme", "acme/platform")
	c.text("sub", "project_path:"+project+":ref_type:"+kind+":ref:"+ref)
	return c.rest()
}

// gitlabRef sets ref, ref_type and ref_path, which follow from each other in
// either direction.
func (c *claimSet) gitlabRef(source string) (ref, refPath, kind string) {
	short, kind := "main", "branch"
	if source == "merge_request_event" {
		short = "feature"
	}
	if full := c.overrides["ref_path"]; full != "" {
		kind = refType(full)
		short = strings.TrimPrefix(strings.TrimPrefix(full, "refs/heads/"), "refs/tags/")
	}
	kind = c.text("ref_type", kind)
	ref = c.text("ref", short)
	folder := "refs/heads/"
	if kind == "tag" {
		folder = "refs/tags/"
	}
	return ref, c.text("ref_path", folder+ref), kind
}
