# Builds a target with the sanitizers named in RBDXX_SANITIZE.
function(rbdxx_sanitize target)
  if(RBDXX_SANITIZE)
    target_compile_options(${target} PUBLIC -fsanitize=${RBDXX_SANITIZE} -fno-omit-frame-pointer -g)
    target_link_options(${target} PUBLIC -fsanitize=${RBDXX_SANITIZE})
  endif()
endfunction()
