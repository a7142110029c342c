# partly in a container: CPU-only PyTorch unless TORCH_INDEX says otherwise, no root, nothing but the program.
# See docs/deploy.md.
ARG PYTHON=3.13

FROM python:${PYTHON}-slim AS build
# PyTorch's index for CPUs; for GPUs, for example https://download.pytorch.org/whl/cu128
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
# torch and torchvision from one index, since each works with the other's build alone; a layer of its own, since it is
# large and changes rarely.
RUN python -m venv /opt/partly \
    && /opt/partly/bin/pip install --index-url "${TORCH_INDEX}" "torch>=2.4" torchvision
COPY . /src
RUN /opt/partly/bin/pip install "/src[postgres,s3,weights]"

FROM python:${PYTHON}-slim
RUN groupadd --gid 10001 partly && useradd --uid 10001 --gid partly --create-home partly \
    && mkdir /work && chown partly:partly /work
COPY --from=build /opt/partly /opt/partly
ENV PATH=/opt/partly/bin:$PATH PYTHONUNBUFFERED=1
USER 10001:10001
WORKDIR /work
VOLUME /work
ENTRYPOINT ["partly"]
CMD ["--help"]
