/* Stands in for TensorRT's libraries so that its Python bindings can be loaded and described. Nothing here computes. */
#include <stddef.h>

#define NO_OBJECT(name)  \
    void *name(void);    \
    void *name(void) { return NULL; }

NO_OBJECT(createInferBuilder_INTERNAL)
NO_OBJECT(createInferRefitter_INTERNAL)
NO_OBJECT(createInferRuntime_INTERNAL)
NO_OBJECT(createNvOnnxParser_INTERNAL)
NO_OBJECT(createNvOnnxParserRefitter_INTERNAL)
NO_OBJECT(getBuilderPluginRegistry)
NO_OBJECT(getPluginRegistry)
NO_OBJECT(getNvOnnxParserVersion)
NO_OBJECT(initLibNvInferPlugins)

/* C++ functions of the Caffe and UFF parsers, which 8.6 still binds. */
NO_OBJECT(_ZN14nvcaffeparser117createCaffeParserEv)
NO_OBJECT(_ZN14nvcaffeparser123shutdownProtobufLibraryEv)
NO_OBJECT(_ZN11nvuffparser15createUffParserEv)
NO_OBJECT(_ZN11nvuffparser23shutdownProtobufLibraryEv)
NO_OBJECT(_ZN11nvuffparser8FieldMapC1EPKcPKvNS_9FieldTypeEi)
