// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// template is a pod template with one container, for the kinds that embed one.
func template(image string) corev1.PodTemplateSpec {
	return corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "x"}},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: image}}},
	}
}

func selector() *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchLabels: map[string]string{"app": "x"}}
}

func deployment(name, image string) *appsv1.Deployment {
	return &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default"}, Spec: appsv1.DeploymentSpec{Selector: selector(), Template: template(image)}}
}

// workload is a kind that makes pods, and where it keeps its template.
type workload struct {
	kind string
	make func(image string) (client.Object, *corev1.PodTemplateSpec)
}

func workloadKinds() []workload {
	named := metav1.ObjectMeta{Name: "w", Namespace: "default"}
	job := func(image string) batchv1.JobSpec {
		spec := batchv1.JobSpec{Template: template(image)}
		spec.Template.Spec.RestartPolicy = corev1.RestartPolicyNever
		return spec
	}
	return []workload{
		{"Deployment", func(image string) (client.Object, *corev1.PodTemplateSpec) {
			o := deployment("w", image)
			return o, &o.Spec.Template
		}},
		{"ReplicaSet", func(image string) (client.Object, *corev1.PodTemplateSpec) {
			o := &appsv1.ReplicaSet{ObjectMeta: named, Spec: appsv1.ReplicaSetSpec{Selector: selector(), Template: template(image)}}
			return o, &o.Spec.Template
		}},
		{"DaemonSet", func(image string) (client.Object, *corev1.PodTemplateSpec) {
			o := &appsv1.DaemonSet{ObjectMeta: named, Spec: appsv1.DaemonSetSpec{Selector: selector(), Template: template(image)}}
			return o, &o.Spec.Template
		}},
		{"StatefulSet", func(image string) (client.Object, *corev1.PodTemplateSpec) {
			o := &appsv1.StatefulSet{ObjectMeta: named, Spec: appsv1.StatefulSetSpec{Selector: selector(), Template: template(image)}}
			return o, &o.Spec.Template
		}},
		{"ReplicationController", func(image string) (client.Object, *corev1.PodTemplateSpec) {
			spec := template(image)
			return &corev1.ReplicationController{ObjectMeta: named, Spec: corev1.ReplicationControllerSpec{Selector: map[string]string{"app": "x"}, Template: &spec}}, &spec
		}},
		{"Job", func(image string) (client.Object, *corev1.PodTemplateSpec) {
			o := &batchv1.Job{ObjectMeta: named, Spec: job(image)}
			return o, &o.Spec.Template
		}},
		{"CronJob", func(image string) (client.Object, *corev1.PodTemplateSpec) {
			o := &batchv1.CronJob{ObjectMeta: named, Spec: batchv1.CronJobSpec{Schedule: "0 0 1 1 *", JobTemplate: batchv1.JobTemplateSpec{Spec: job(image)}}}
			return o, &o.Spec.JobTemplate.Spec.Template
		}},
		{"PodTemplate", func(image string) (client.Object, *corev1.PodTemplateSpec) {
			o := &corev1.PodTemplate{ObjectMeta: named, Template: template(image)}
			return o, &o.Template
		}},
	}
}

// workloads get the verdict that their pods would get.
func (w *world) workloads(t *testing.T) {
	for _, kind := range workloadKinds() {
		t.Run(kind.kind, func(t *testing.T) {
			create := func(change func(*corev1.PodSpec)) error {
				object, template := kind.make(w.signed)
				change(&template.Spec)
				err := w.Client.Create(t.Context(), object)
				if err == nil {
					must(t, w.Client.Delete(t.Context(), object, client.GracePeriodSeconds(0), client.PropagationPolicy(metav1.DeletePropagationBackground)))
				}
				return err
			}
			wantAllowed(t, create(func(*corev1.PodSpec) {}))
			for reason, image := range map[string]string{
				"hallmark sign": w.unsigned, "is not the central registry": foreign, "has no digest": w.tagged, "unusable image reference": "nginx", "no ImageTrustPolicy covers": w.elsewhere,
			} {
				wantDenied(t, create(func(s *corev1.PodSpec) { s.Containers[0].Image = image }), `container "main"`, reason, kind.kind+` "w"`)
				wantDenied(t, create(func(s *corev1.PodSpec) {
					s.InitContainers = []corev1.Container{{Name: "init", Image: image}}
				}), `init container "init"`, reason)
				wantDenied(t, create(func(s *corev1.PodSpec) {
					s.Volumes = []corev1.Volume{{Name: "data", VolumeSource: corev1.VolumeSource{Image: &corev1.ImageVolumeSource{Reference: image}}}}
				}), `image volume "data"`, reason)
			}
			// A template may leave an image volume open. The rest is judged all the same.
			open := func(s *corev1.PodSpec) {
				s.Volumes = []corev1.Volume{{Name: "data", VolumeSource: corev1.VolumeSource{Image: &corev1.ImageVolumeSource{}}}}
			}
			wantAllowed(t, create(open))
			wantDenied(t, create(func(s *corev1.PodSpec) { open(s); s.Containers[0].Image = w.unsigned }), "hallmark sign")
		})
	}
}

// legacy creates objects from before there was a webhook. They must stay manageable, and no more than that.
func (w *world) legacy(t *testing.T) {
	must(t, w.Client.Create(t.Context(), deployment("legacy", "nginx")))
	must(t, w.Client.Create(t.Context(), pod("legacy", "nginx:1")))
}

func (w *world) podUpdates(t *testing.T) {
	_, err := w.create(t, pod("updated", w.signed))
	must(t, err)
	pods := w.Kube.CoreV1().Pods("default")
	setImage := func(name, image string) error {
		_, err := pods.Patch(t.Context(), name, types.StrategicMergePatchType, patch(t, map[string]any{"spec": map[string]any{"containers": []any{map[string]any{"name": "main", "image": image}}}}), metav1.PatchOptions{})
		return err
	}
	wantDenied(t, setImage("updated", w.unsigned), "hallmark sign")
	wantDenied(t, setImage("updated", w.tagged), "has no digest") // though it is the same image today
	wantAllowed(t, setImage("updated", w.signed2))
	wantAllowed(t, setImage("updated", w.signed))
	wantDenied(t, setImage("legacy", w.unsigned), "hallmark sign")
	wantDenied(t, setImage("legacy", "nginx:2"), "unusable image reference")
	wantAllowed(t, setImage("legacy", "nginx:1")) // unchanged
}

// workloadUpdates: what leaves the images alone is not the webhook's business, and an image hidden among such changes is.
func (w *world) workloadUpdates(t *testing.T) {
	deployments := w.Kube.AppsV1().Deployments("default")
	change := func(fields map[string]any) error {
		_, err := deployments.Patch(t.Context(), "legacy", types.StrategicMergePatchType, patch(t, fields), metav1.PatchOptions{})
		return err
	}
	wantAllowed(t, change(map[string]any{"metadata": map[string]any{"labels": map[string]any{"a": "b"}}}))
	wantAllowed(t, change(map[string]any{"spec": map[string]any{"replicas": 0}}))
	for _, replicas := range []int32{5, 0} {
		_, err := deployments.UpdateScale(t.Context(), "legacy", &autoscalingv1.Scale{ObjectMeta: metav1.ObjectMeta{Name: "legacy", Namespace: "default"}, Spec: autoscalingv1.ScaleSpec{Replicas: replicas}}, metav1.UpdateOptions{})
		wantAllowed(t, err)
	}
	for _, replicas := range []int{0, 1} { // scaled down to nothing, too
		wantDenied(t, change(map[string]any{"spec": map[string]any{"replicas": replicas, "template": map[string]any{"spec": map[string]any{
			"containers": []any{map[string]any{"name": "main", "image": w.unsigned}}}}}}), "hallmark sign")
	}
	wantDenied(t, change(map[string]any{"spec": map[string]any{"template": map[string]any{"spec": map[string]any{
		"initContainers": []any{map[string]any{"name": "init", "image": "nginx"}}}}}}), `init container "init"`, "1 of 1 images") // known as a container, not as this
	wantAllowed(t, change(map[string]any{"spec": map[string]any{"template": map[string]any{"spec": map[string]any{
		"containers": []any{map[string]any{"name": "second", "image": w.signed}}}}}}))
	wantAllowed(t, change(map[string]any{"metadata": map[string]any{"finalizers": []any{"example.com/test"}}}))
	wantAllowed(t, change(map[string]any{"metadata": map[string]any{"finalizers": nil}}))
}

// unhindered are requests about a pod that would be denied today.
func (w *world) unhindered(t *testing.T) {
	pods := w.Kube.CoreV1().Pods("default")
	steps := []struct {
		what string
		do   func(context.Context) error
	}{
		{"status", func(ctx context.Context) error {
			_, err := pods.Patch(ctx, "legacy", types.MergePatchType, []byte(`{"status":{"phase":"Running"}}`), metav1.PatchOptions{}, "status")
			return err
		}},
		{"finalizer", func(ctx context.Context) error {
			_, err := pods.Patch(ctx, "legacy", types.MergePatchType, []byte(`{"metadata":{"finalizers":["example.com/test"]}}`), metav1.PatchOptions{})
			return err
		}},
		{"labels", func(ctx context.Context) error {
			_, err := pods.Patch(ctx, "legacy", types.MergePatchType, []byte(`{"metadata":{"labels":{"a":"b"}}}`), metav1.PatchOptions{})
			return err
		}},
		{"binding", func(ctx context.Context) error {
			return pods.Bind(ctx, &corev1.Binding{ObjectMeta: metav1.ObjectMeta{Name: "legacy"}, Target: corev1.ObjectReference{Kind: "Node", Name: "n1"}}, metav1.CreateOptions{})
		}},
		{"resize", func(ctx context.Context) error {
			p, err := pods.Get(ctx, "legacy", metav1.GetOptions{})
			if err != nil {
				return err
			}
			p.Spec.Containers[0].Resources.Requests = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("1m")}
			_, err = pods.UpdateResize(ctx, "legacy", p, metav1.UpdateOptions{})
			if isDenial(err) {
				return err
			}
			return nil // whether it can be resized is not our question
		}},
		{"eviction", func(ctx context.Context) error {
			return pods.EvictV1(ctx, &policyv1.Eviction{ObjectMeta: metav1.ObjectMeta{Name: "legacy"}})
		}},
		{"removal of the finalizer", func(ctx context.Context) error {
			_, err := pods.Patch(ctx, "legacy", types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`), metav1.PatchOptions{})
			return err
		}},
		{"deletion", func(ctx context.Context) error {
			now := int64(0)
			return client.IgnoreNotFound(pods.Delete(ctx, "legacy", metav1.DeleteOptions{GracePeriodSeconds: &now}))
		}},
		{"deletion of a deployment", func(ctx context.Context) error {
			return w.Kube.AppsV1().Deployments("default").Delete(ctx, "legacy", metav1.DeleteOptions{})
		}},
	}
	for _, step := range steps {
		if err := step.do(t.Context()); err != nil {
			t.Errorf("%s: %v", step.what, err)
		}
	}
	if _, err := pods.Get(t.Context(), "legacy", metav1.GetOptions{}); client.IgnoreNotFound(err) != nil || err == nil {
		t.Errorf("the pod is still there: %v", fmt.Sprint(err))
	}
}

func patch(t *testing.T, fields map[string]any) []byte {
	t.Helper()
	b, err := json.Marshal(fields)
	must(t, err)
	return b
}
